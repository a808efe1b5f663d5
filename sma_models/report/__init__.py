"""One page of a run that opens offline: `runs` reads what a run left, `page` writes it as HTML."""
