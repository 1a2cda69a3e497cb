"""Plain references, cases, poison and peers, shared by tests, benchmarks and `progrm-fast bench`.

Library code never imports it.
"""
