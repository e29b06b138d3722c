"""Tables as people and shops hand them over: text of any encoding, or a workbook; columns by the names they have there."""
