"""The decoder fuzzer: every decoder of ours, its seeds and its oracle in one table (`table`)."""
