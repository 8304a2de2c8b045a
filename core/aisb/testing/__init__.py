"""What tests of aisb and of its plugins run against: a mock inference server, with more to come beside it."""
