"""What each part of the attention is worth: arms that differ in one part, trained from many seeds and compared."""
