"""What tests and benchmarks share: plain references and random cases. Library code never imports it."""
