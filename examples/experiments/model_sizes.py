"""Language models of three sizes, one run each, with nothing logged but what most loops log.

The losses of the batches trained on, the validation loss now and then, and how many tokens that
took: enough to compare sizes at equal tokens, and downstream accuracy at equal validation loss.
"""

import sys
from pathlib import Path

import torch
from digits import trajlab
from torch import Tensor, nn

from trajlab import Recorder

VOCABULARY, CONTEXT, BATCH = 32, 4, 64
LANGUAGE = 3 * torch.randn(2, VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(0))


def text(length: int, seed: int) -> Tensor:
    """Return a text in which each token depends on the two before."""
    generator = torch.Generator().manual_seed(seed)
    tokens = [0, 1]
    for _ in range(length):
        odds = (LANGUAGE[0, tokens[-1]] + LANGUAGE[1, tokens[-2]]).softmax(0)
        tokens.append(int(torch.multinomial(odds, 1, generator=generator)))
    return torch.tensor(tokens).unfold(0, CONTEXT + 1, 1)


class Model(nn.Module):
    """Embeddings of the last tokens, and one hidden layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(CONTEXT * width, width), nn.GELU(), nn.Linear(width, VOCABULARY)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Return the mean loss of the last token of each row."""
        logits = self.body(self.embed(rows[:, :-1]))
        return nn.functional.cross_entropy(logits, rows[:, -1])


folder = Path(sys.argv[1])
training, held_out = text(12_000, seed=1), text(3_000, seed=2)
for width in (8, 24, 96):
    torch.manual_seed(0)
    model = Model(width)
    size = sum(parameter.numel() for parameter in model.parameters())
    name = f"{size / 1000:.1f}K"
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    with Recorder(
        folder / f"{name}.h5",
        model,
        tasks=["next token"],
        optimizer=optimizer,
        metadata={"setting": "two-token language", "method": name},
    ) as recorder:
        for step in range(1, 601):
            batch = training[torch.randint(len(training), (BATCH,))]
            recorder.backward({"next token": model(batch)})
            optimizer.step()
            optimizer.zero_grad()
            if step % 20 == 0:
                with torch.no_grad():
                    values = {"next token": {"loss": float(model(held_out))}}
                tokens = step * BATCH
                recorder.evaluate("test", values, tokens=tokens, flops=6 * size * tokens)
smallest = "--baseline", "method=0.8K"
page = "--page", folder / "report.html"
trajlab("diagnose", folder, *smallest, "--x", "tokens", "--at", "10000", *page)
trajlab("gap", folder, *smallest, "--x", "flops")
trajlab("gap", folder, *smallest, "--loss", "losses", "--at", "2.5")
