"""Plain references, cases and peers, shared by tests, benchmarks and `progrm-fast bench`.

Library code never imports it.
"""
