"""HTML pages that open without a network: preview, run report, and the parts they share."""
