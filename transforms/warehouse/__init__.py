"""The warehouse: all memory tables as one DuckLake in one folder (SQLite catalog + Parquet)."""
