"""A small transformer that translates: pre-LN, one vocabulary, tied embeddings."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.training.models import PLAIN, Shape

PAD, END = 0, 1  # numbers of tokens
HEADS = 4
_WIDTH, _LAYERS = 64, 2


class Translator(nn.Module):
    """Encoder and decoder; the first token that the decoder gets says the language.

    Parameters
    ----------
    vocabulary
        Number of tokens.
    longest
        Tokens of the longest source; an input has those first, then the decoder's.
    shape
        Its size: width is rounded to a multiple of `HEADS`.
    """

    def __init__(self, vocabulary: int, longest: int, shape: Shape = PLAIN) -> None:
        super().__init__()
        self.longest = longest
        width = HEADS * shape.units(_WIDTH // HEADS)
        layer: dict[str, Any] = {"d_model": width, "nhead": HEADS, "dim_feedforward": 4 * width}
        layer |= {"dropout": shape.dropout, "batch_first": True, "norm_first": True}
        layers = _LAYERS * shape.depth
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**layer),
            layers,
            nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**layer), layers, nn.LayerNorm(width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``(n, t, vocabulary)`` of the tokens that follow the decoder's.

        Parameters
        ----------
        tokens
            ``(n, longest + t)`` sources and, behind them, what the decoder is given; both filled up
            with `PAD`. Columns that are `PAD` throughout are left out, at the end too.
        """
        source, given = _cut(tokens[:, : self.longest]), _cut(tokens[:, self.longest :])
        return self.decode(given, *self.encode(source))

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory ``(n, s, width)`` of sources ``(n, s)``, and where there is none."""
        empty = source == PAD
        memory: Tensor = self.encoder(self._embed(source), src_key_padding_mask=empty)
        return memory, empty

    def decode(self, given: Tensor, memory: Tensor, empty: Tensor) -> Tensor:
        """Return logits ``(n, t, vocabulary)`` after each of the tokens given ``(n, t)``."""
        length = given.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=given.device).triu(1)
        decoded = self.decoder(
            self._embed(given), memory, tgt_mask=later, memory_key_padding_mask=empty
        )
        logits: Tensor = decoded @ self.embedding.weight.T
        return logits

    def translate(self, source: Tensor, language: int, most: int) -> Tensor:
        """Translate sources ``(n, s)`` word by word, each time by the likeliest.

        Parameters
        ----------
        source
            Filled up with `PAD`.
        language
            The token that names it.
        most
            Tokens of a translation.

        Returns
        -------
        Tensor
            ``(n, t)``: tokens without the language's; `END` or `PAD` ends one.
        """
        memory, empty = self.encode(_cut(source))
        given = torch.full((len(source), 1), language, device=source.device)
        ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
        for _ in range(most):
            likeliest = self.decode(given, memory, empty)[:, -1].argmax(-1)
            likeliest = torch.where(ended, PAD, likeliest)
            given = torch.cat((given, likeliest[:, None]), 1)
            ended |= likeliest == END
            if ended.all():
                break
        return given[:, 1:]

    def _embed(self, tokens: Tensor) -> Tensor:
        width = self.embedding.embedding_dim
        embedded: Tensor = self.embedding(tokens) * math.sqrt(width)
        return embedded + _positions(tokens.shape[1], width).to(embedded)


def _cut(tokens: Tensor) -> Tensor:
    """Leave out the last columns that are `PAD` throughout; at least one is kept."""
    used = (tokens != PAD).any(0).nonzero()
    return tokens[:, : int(used[-1]) + 1 if len(used) else 1]


def _positions(length: int, width: int) -> Tensor:
    """Return sines and cosines of positions (Vaswani et al. 2017), ``(length, width)``."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)
