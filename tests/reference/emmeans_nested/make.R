# Marginal means with nested factors: R 4.2.2, emmeans 1.8.4.1. Writes nested.json beside this file; run it there.
suppressMessages({library(emmeans); library(jsonlite)})
d <- read.csv("nested.csv", stringsAsFactors = TRUE)
short <- droplevels(subset(d, plot != "S2r"))
models <- list(
  labels = list(formula = "y ~ site/plot + tr + x", data = "all"),
  added = list(formula = "y ~ site + plot + tr + x", data = "all"),
  anew = list(formula = "y ~ site/p + tr", data = "short"),
  holes = list(formula = "y ~ site/plot * tr + x", data = "all"),
  crossed = list(formula = "y ~ tr/site", data = "all"),
  slope = list(formula = "y ~ tr + tr:x", data = "all"))
means <- list(
  labels = list("site", "plot", "tr", "tr | site", "plot * tr", "1"),
  added = list("site", "plot", "tr"),
  anew = list("site", "p", "tr"),
  crossed = list("site", "tr"))
plain <- function(E) {
  s <- as.data.frame(summary(E)); k <- which(names(s) == "SE")
  est <- s[[k - 1]]
  labels <- lapply(s[seq_len(k - 2)], as.character)
  list(labels = labels, estimate = est, std_error = s$SE, df = s$df)
}
out <- list()
for (name in names(models)) {
  f <- as.formula(models[[name]]$formula); frame <- if (models[[name]]$data == "all") d else short
  m <- eval(bquote(lm(.(f), frame)))
  rg <- suppressMessages(ref_grid(m))
  made <- list(formula = models[[name]]$formula, data = models[[name]]$data)
  for (spec in means[[name]]) for (w in c("equal", "proportional", "outer", "cells", "flat")) {
    E <- suppressMessages(emmeans(rg, as.formula(paste("~", spec)), weights = w))
    made$means[[length(made$means) + 1]] <- c(list(specs = spec, weights = w), plain(E))
  }
  j <- as.data.frame(suppressMessages(joint_tests(m)))
  j <- j[j[["model term"]] != "(confounded)", ]
  made$joint <- list(term = j[["model term"]], df1 = j$df1, df2 = j$df2, statistic = j$F.ratio, p_value = j$p.value)
  if (name == "labels") {
    p <- as.data.frame(suppressMessages(pairs(emmeans(rg, "plot"))))
    made$pairs <- list(contrast = p$contrast, estimate = p$estimate, std_error = p$SE, p_value = p$p.value)
    within <- suppressMessages(contrast(emmeans(rg, "plot"), "consec", by = "site"))
    t <- as.data.frame(test(within, joint = TRUE))
    made$within <- list(site = as.character(t$site), df1 = t$df1, statistic = t$F.ratio, p_value = t$p.value)
  }
  out[[name]] <- made
}
write_json(out, "nested.json", digits = NA, na = "null", auto_unbox = TRUE)
