"""The six databases: their layouts, labels and folds."""
