"""Compares a filled-in template with the export of what was imported from it, both as a spreadsheet reads them.

    compare_round_trip.py TEMPLATE.xlsx EXPORT.xlsx NUMBER-OF-A-REJECTED-ROW…

Prints how many rows are equal: number, outId and variables, as texts; a time is what people read in its cell."""

import datetime
import sys

import openpyxl


def text(value):
    if value is None:
        return ""
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M")
    return str(value)


def table(path, sheet, columns):
    sheet = openpyxl.load_workbook(path)[sheet] if sheet else openpyxl.load_workbook(path).worksheets[0]
    header, *lines = sheet.iter_rows()
    places = [[cell.value for cell in header].index(column) for column in columns]
    for cells in lines:
        for cell in cells:
            assert cell.data_type != "f", f"a formula: {cell.value!r}"
        yield tuple(text(cells[place].value) for place in places)


template, export, *rejected = sys.argv[1:]
filled = table(template, "Callees", ["calledNumber", "outId", "firstName", "time"])
exported = list(table(export, None, ["calledNumber", "outId", "variable.firstName", "variable.time"]))
accepted = [row for row in filled if row[0] not in rejected]
assert exported == accepted, f"{exported} were exported, {accepted} filled in"
print(len(exported))
