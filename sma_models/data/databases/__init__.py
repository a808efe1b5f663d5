"""The six databases: their layouts, labels and folds. A data module subclasses the one in `base`."""
