"""From a folder, a list, a prefix or a program to queued jobs; progress, results, export, report, evaluation."""
