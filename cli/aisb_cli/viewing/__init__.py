"""The local page of `aisb view`: it shows runs in a browser, read-only, without any other machine."""
