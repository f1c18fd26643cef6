"""What docs/reliability.md claims, measured: ``make bench``. Ratios count; absolute figures differ by machine."""
