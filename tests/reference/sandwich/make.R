# Sandwich covariances by R's sandwich: Rscript make.R > sandwich.json (R 4.2.2, sandwich 3.0.2)
library(sandwich); library(jsonlite)
set.seed(3)
d <- data.frame(g = rep(c("a", "b", "c", "d", "e", "f"), each = 7), h = rep(c("u", "v", "w"), 14),
                x = round(rnorm(42), 3), w = round(runif(42, 0.5, 2), 3))
d$y <- round(1 + d$x + rep(rnorm(6), each = 7) + (0.5 + abs(d$x)) * rnorm(42), 4)
out <- list(data = d)
for (weighted in c(FALSE, TRUE)) {
  m <- if (weighted) lm(y ~ x + h, d, weights = w) else lm(y ~ x + h, d)
  key <- if (weighted) "wls" else "ols"
  out[[key]] <- list(
    HC0 = vcovHC(m, "HC0"), HC1 = vcovHC(m, "HC1"), HC2 = vcovHC(m, "HC2"), HC3 = vcovHC(m, "HC3"), HC4 = vcovHC(m, "HC4"),
    "cluster(g)" = vcovCL(m, ~g, type = "HC1"), "cluster(g, HC0)" = vcovCL(m, ~g, type = "HC0"),
    "cluster(g, h)" = vcovCL(m, ~ g + h, type = "HC1"))
}
cat(toJSON(out, digits = NA, dataframe = "columns"))
