"""One page of a run that opens offline: `run_results` reads what a run left, `page` writes it as HTML."""
