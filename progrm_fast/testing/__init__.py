"""Plain references, cases and peers, shared by tests, benchmarks and `progrm-fast bench`; library code never imports it."""
