"""Kandinsky's attention: every layer looks at the picture and, in the same product, at tokens of the image embedding.

The tokens' keys and values are computed once a picture, for all layers in one matrix product, and not at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime.rendering.errors import GeneratorError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class JointAttention:
    """Attends to the picture's positions and to known keys and values.

    Parameters
    ----------
    weight, bias
        The layer's three projections in one, ``[3 * channels, channels]`` and ``[3 * channels]``.
    first
        Where the layer's known keys and values begin, two times its width, among those of all layers.
    """

    def __init__(self, weight: Tensor, bias: Tensor, first: int) -> None:
        self.weight = weight
        self.bias = bias
        self.first = first

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return ``[batch, channels, height, width]`` for the same.

        Parameters
        ----------
        attn
            A diffusers attention layer.
        hidden_states
            The picture.
        encoder_hidden_states
            Keys and values of the tokens for all layers, ``[batch, tokens, columns]``.
        """
        batch, channels, height, width = hidden_states.shape
        inner = attn.group_norm(hidden_states).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        known = encoder_hidden_states[:, :, self.first : self.first + 2 * channels]
        fused = functional.linear(inner, self.weight, self.bias)
        query, key, value = _by_head(fused, attn.heads, 3)
        known_key, known_value = _by_head(known, attn.heads, 2)
        key, value = torch.cat([known_key, key], dim=2), torch.cat([known_value, value], dim=2)
        seen = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = attn.to_out[0](seen.transpose(1, 2).reshape(batch, -1, channels))
        return projected.view(batch, height, width, channels).permute(0, 3, 1, 2) + hidden_states


class ImageTokens(nn.Module):
    """An embedding as tokens that all layers of Kandinsky's UNet attend to, and as a part of its time embedding.

    Parameters
    ----------
    unet
        The network; changed in place.
    negative
        What guidance leads away from, ``[1, dims]``; None without guidance.
    pictures
        Number of pictures of one embedding.

    Raises
    ------
    GeneratorError
        If the network is of another kind, or `negative` of another size than its embeddings.
    """

    weight: Tensor
    bias: Tensor
    known: Tensor
    embeddings: Tensor

    def __init__(self, unet: UNet2DConditionModel, negative: Tensor | None, pictures: int) -> None:
        super().__init__()
        self.project: Any = unet.encoder_hid_proj
        unet.encoder_hid_proj = None  # computed once, not by the network at every step
        weights, biases = [], []
        first = 0
        for name in list(unet.attn_processors):
            layer: Any = unet.get_submodule(name.removesuffix(".processor"))
            if layer.add_k_proj is None or layer.only_cross_attention or layer.norm_cross or layer.norm_q is not None:
                msg = f"attention layer {name} of the UNet is of a kind that this renderer does not know"
                raise GeneratorError(msg)
            own = (layer.to_q, layer.to_k, layer.to_v)
            layer.set_processor(
                JointAttention(torch.cat([part.weight for part in own]), torch.cat([part.bias for part in own]), first)
            )
            weights += [layer.add_k_proj.weight, layer.add_v_proj.weight]
            biases += [layer.add_k_proj.bias, layer.add_v_proj.bias]
            first += 2 * layer.to_q.out_features
            layer.to_q = layer.to_k = layer.to_v = layer.add_k_proj = layer.add_v_proj = None
        self.dims = int(self.project.image_embeds.in_features)
        self._pictures = pictures
        self.register_buffer("weight", torch.cat(weights))
        self.register_buffer("bias", torch.cat(biases))
        tokens = self.project.num_image_text_embeds
        self.register_buffer("known", self.weight.new_zeros(2 * pictures, tokens, first))
        self.register_buffer("embeddings", self.weight.new_zeros(2 * pictures, self.dims))
        if negative is not None:
            if negative.shape[-1] != self.dims:
                msg = f"the empty picture's embedding has {negative.shape[-1]} dims, the network wants {self.dims}"
                raise GeneratorError(msg)
            self._put(slice(0, pictures), negative.view(-1))

    def draw(self, generators: list[torch.Generator]) -> None:
        """Draw what the condition takes from a picture's noise: nothing."""

    def inputs(self, rows: slice) -> dict[str, Any]:
        """Return these rows of tokens and embeddings, unconditional ones first."""
        return {
            "encoder_hidden_states": self.known[rows],
            "added_cond_kwargs": {"image_embeds": self.embeddings[rows]},
        }

    def write(self, embedding: Tensor) -> None:
        """Put an embedding ``[dims]`` into the conditional rows."""
        self._put(slice(self._pictures, None), embedding)

    def _put(self, rows: slice, embedding: Tensor) -> None:
        given = embedding[None].to(self.embeddings.dtype)
        self.embeddings[rows] = given
        self.known[rows] = functional.linear(self.project(given), self.weight, self.bias)


def _by_head(projected: Tensor, heads: int, parts: int) -> tuple[Tensor, ...]:
    """Return `parts` of ``[batch, heads, tokens, width]`` from ``[batch, tokens, parts * heads * width]``."""
    batch, tokens, _ = projected.shape
    return projected.view(batch, tokens, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind()
