# Log-likelihoods of nlme on small data whose likelihoods have several maxima (data.json, simulated): Rscript make.R
suppressMessages({library(nlme); library(jsonlite)})
data <- lapply(fromJSON("data.json"), as.data.frame)
data$rat4 <- cbind(data$sph4[c("px", "py", "x")], data$rat4)
best <- function(formula, d, correlation, method) {
  found <- sapply(c("nlminb", "optim"), function(opt) tryCatch(suppressWarnings(as.numeric(logLik(gls(
    formula, d, correlation = eval(correlation), method = method,
    control = glsControl(opt = opt, maxIter = 200, msMaxIter = 300, tolerance = 1e-9, returnObject = TRUE))))),
    error = function(e) NA))
  max(found, na.rm = TRUE)
}
out <- list()
for (r in c(1, 3, 7)) for (method in c("REML", "ML"))
  out[[paste0("cor|rnd", r, "|", method)]] <- best(z ~ t, data[[paste0("rnd", r)]], quote(corSymm(form = ~1 | g)), method)
for (r in c(3, 9)) out[[paste0("exp+units|rnd", r, "|REML")]] <-
  best(y ~ x, data[[paste0("rnd", r)]], quote(corExp(c(2, .2), form = ~px + py, nugget = TRUE)), "REML")
out[["gau+units|rnd3|REML"]] <- best(y ~ x, data$rnd3, quote(corGaus(c(2, .2), form = ~px + py, nugget = TRUE)), "REML")
out[["sph|sph4|REML"]] <- max(sapply(c(.5, 1, 1.3, 2, 3), function(s)
  best(y ~ x, data$sph4, bquote(corSpher(.(s), form = ~px + py)), "REML")))
out[["sph|sp|REML"]] <- max(sapply(c(.5, 1, 2, 3, 5, 9), function(s)
  best(y ~ tr, data$sp, bquote(corSpher(.(s), form = ~px + py)), "REML")))
out[["ratio+units|rat4|REML"]] <- best(y ~ x, data$rat4, quote(corRatio(c(50, .05), form = ~px + py, nugget = TRUE)), "REML")
out[["arma22|ar|ML"]] <- best(arma ~ x, data$ar, quote(corARMA(form = ~t, p = 2, q = 2)), "ML")
write_json(out, "nlme.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
