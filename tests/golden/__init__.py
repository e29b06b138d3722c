"""What a few drawn photos gave when the rules were last changed on purpose."""
