"""What has to hold on a CUDA device as on a CPU: ``make gpu-check``."""
