"""Changes of colour as one linear map of the channels an image, drawn for each image of a batch apart."""

import torch
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114])  # of red, green and blue in grey (ITU-R BT.601)
# Red, green and blue to luma and two colour differences (YIQ), in which a turn changes the hue alone.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


class RandomColour:
    """Changes brightness, contrast, saturation and hue; of grey images, brightness and contrast.

    Args:
        brightness, contrast, saturation: largest relative change either way; 0.2 gives 0.8 to 1.2 times. Contrast is
            the distance from the image's mean grey, saturation that from the pixel's own grey.
        hue: largest turn either way, as a fraction of the colour circle.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float, hue: float) -> None:
        self.limits = torch.tensor([brightness, contrast, saturation, 2 * torch.pi * hue])

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]` from 0 to 255; returns float32 in the same range."""
        drawn = ((2 * torch.rand(len(images), 4, generator=draws) - 1) * self.limits).to(images.device)
        gain, contrast, saturation = (1 + drawn[:, :3, None, None]).unbind(1)  # [B, 1, 1] each
        pixels = images.float().flatten(2)  # [B, C, H * W]
        if images.shape[1] == 3:
            mixing = saturated(saturation) @ turned(drawn[:, 3])
            grey = (LUMA.to(images.device) @ pixels).mean(dim=1)
        else:
            mixing = torch.eye(images.shape[1], device=images.device)
            grey = pixels.mean(dim=(1, 2))
        centre = (gain * (1 - contrast)) * grey[:, None, None]
        return torch.baddbmm(centre, gain * contrast * mixing, pixels).clamp_(0, 255).view_as(images)


def saturated(factor: Tensor) -> Tensor:
    """Return the maps that move colours from their grey by a factor `[B, 1, 1]`, `[B, 3, 3]`."""
    eye = torch.eye(3, device=factor.device)
    return factor * eye + (1 - factor) * LUMA.to(factor.device).expand(3, 3)


def turned(angle: Tensor) -> Tensor:
    """Return the maps that turn the hue by an angle `[B]` in radians, `[B, 3, 3]`."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    yiq = YIQ.to(angle.device)
    maps: Tensor = torch.linalg.inv(yiq) @ turn @ yiq
    return maps
