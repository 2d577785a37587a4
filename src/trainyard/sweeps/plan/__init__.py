"""What a sweep will take, before it is started."""
