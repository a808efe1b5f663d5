"""One page of a run that opens offline: `run_results` reads the results, `page` writes it as HTML."""
