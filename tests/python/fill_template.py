"""Fills in a template as somebody does who does not mind formats.

    fill_template.py FILE.xlsx"""

import datetime
import sys

import openpyxl

workbook = openpyxl.load_workbook(sys.argv[1])
sheet = workbook["Callees"]
header = [cell.value for cell in sheet[1]]
assert header == ["calledNumber", "outId", "firstName", "time"], header
assert sheet.column_dimensions["A"].width, "the columns have a width"
sheet.append(["+4915123450001", "a-1", "Ada", "09:30"])
sheet.append([15123450002, 13912345678, "Ben", None])
sheet.append(["+4915123450003", 7, "=1+1", 12.5])
sheet.cell(4, 3).data_type = "s"
sheet.append(["+4915123450004", "a-4", "Cem", datetime.time(9, 30)])
workbook.save(sys.argv[1])
