"""The library: recurrent language models whose memory can be recorded, replaced and mended from outside."""
