"""What the main job costs: a server of canned answers, the baselines, and what is measured against them."""
