"""How well the right past incident is found: questions, their answers, measures with intervals, a history."""
