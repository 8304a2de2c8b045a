"""What runs tell beside their tables: audits, comparisons, and grades of outputs from anywhere."""
