# R's lm on the sets of NIST's StRD: coefficients, standard errors, sigma, R-squared, RSS and F, to 17 digits.
sets <- jsonlite::read_json(commandArgs(TRUE)[1], simplifyVector = TRUE)
given <- jsonlite::read_json(commandArgs(TRUE)[2], simplifyVector = TRUE)
out <- lapply(names(sets), function(name) {
  d <- as.data.frame(given[[name]])
  # R drops a column of Filip at its default tolerance, 1e-7
  s <- summary(f <- lm(as.formula(gsub("**", "^", sets[[name]], fixed = TRUE)), d, tol = 1e-12))
  list(coefficients = s$coefficients[, 1], standard_errors = s$coefficients[, 2], sigma = s$sigma, r_squared = s$r.squared,
    rss = deviance(f), f = s$fstatistic[[1]])
})
out <- lapply(out, function(r) lapply(r, function(v) I(sprintf("%.17g", v))))
cat(jsonlite::toJSON(setNames(out, names(sets))))
