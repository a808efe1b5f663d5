"""SMA-Net, its pretrained weights, checkpoints and export.

`checkpoint.load_checkpoint` returns a network and its metadata; `checkpoint_io` only writes and reads files.
"""
