"""The report's tables: as columns, pandas frames and styled frames, as CSV, Parquet and an Excel workbook.

Columns are the fields of `report.json`'s rows; what rows say of phases and parts has tables of its own.
"""
