"""Pure helpers that know nothing of scenes: files, images, videos, small mathematics, progress and reports."""
