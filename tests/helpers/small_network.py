"""A small SMA-Net and its training step, for tests with features of torch."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sma_models.models.sma_net import SMANet

REGIONS = ("AU1", "AU2", "AU12")
SMALL = {"backbone": "test_resnet", "image_size": 32, "channels": 2, "embed_dim": 4, "stage": 2}


def small_network(seed=0, **settings):
    torch.manual_seed(seed)
    return SMANet(REGIONS, **SMALL | settings)


def faces_and_labels(batch, seed=0, device="cpu"):
    """Images [B,3,32,32] in 0..1, and labels [B,3] determined by their colors."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (batch, len(REGIONS)), generator=draw).float()
    images = 0.3 * torch.rand(batch, 3, 32, 32, generator=draw) + 0.6 * labels[:, :, None, None]
    return images.to(device), labels.to(device)


def loss_of(network, images, labels):
    output = network(images)
    return binary_cross_entropy_with_logits(output.logits, labels) + 0.1 * output.attention.diversity.mean()
