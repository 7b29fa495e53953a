"""Reads an export as a spreadsheet does, and compares it with the same export as CSV, cell by cell.

    compare_export.py FILE.xlsx FILE.csv

A text that CSV marks so that nothing computes it stands in XLSX as it is, as a text."""

import csv
import sys

import openpyxl

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def unmarked(cell):
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell


def rows(path):
    for number, sheet in enumerate(openpyxl.load_workbook(path, read_only=True).worksheets):
        for line, cells in enumerate(sheet.iter_rows()):
            if line == 0 and number > 0:
                continue
            for cell in cells:
                assert cell.data_type != "f", f"a formula in line {line}: {cell.value!r}"
            yield ["" if cell.value is None else str(cell.value) for cell in cells]


workbook, text = sys.argv[1:]
with open(text, newline="", encoding="utf-8") as file:
    compared = 0
    reader = csv.reader(file)
    for line, (found, expected) in enumerate(zip(rows(workbook), reader, strict=True)):
        expected = [unmarked(cell) for cell in expected]
        found += [""] * (len(expected) - len(found))
        assert found == expected, f"line {line}: {found} in the workbook, {expected} in the CSV file"
        compared += 1
print(compared - 1)
