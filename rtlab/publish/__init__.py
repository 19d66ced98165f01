"""What leaves the working folder: packed campaigns without what must stay private, and other tools' formats."""
