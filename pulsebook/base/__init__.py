"""What everything stands on: settings, what is secret and how it is hidden, files in a folder or a bucket, periods."""
