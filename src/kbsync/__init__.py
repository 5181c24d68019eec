"""kbsync keeps a knowledge base true to the incidents behind it."""
