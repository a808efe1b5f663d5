"""One program holds all maps of a sample: forward_kernel, backward_kernel, and their launches."""
