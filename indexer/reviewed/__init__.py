"""What people said of answers, used: confirmed photos become photos of products, all verdicts count for calibration."""
