"""SMA-Net, its pretrained weights, checkpoints and export."""
