"""The machinery of records: load, apply, index, write behind, compare, rebuild, wait for news. It knows no kind."""
