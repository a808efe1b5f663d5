"""The Lightning module, its optimizer and callbacks, and what makes a run resumable."""
