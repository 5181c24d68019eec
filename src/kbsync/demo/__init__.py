"""The incidents of `kbsync demo`: hand-written, made up, in Spanish and English."""
