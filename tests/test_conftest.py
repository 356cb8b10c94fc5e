import os

import torch


def test_tests_run_on_one_thread_a_process() -> None:
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])
