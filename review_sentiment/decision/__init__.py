"""From a model's label probabilities to answers: calibration, class shares, threshold, abstention."""
