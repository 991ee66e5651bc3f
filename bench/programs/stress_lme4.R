# Every stress model with lmer's defaults, in one R process. Arguments: folder of NNN.csv and models.json; writes lme4.json there.
suppressPackageStartupMessages({library(lme4); library(jsonlite)})
folder <- commandArgs(TRUE)[1]
models <- fromJSON(file.path(folder, "models.json"))
control <- lmerControl(check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev = "ignore")
out <- list()
for (k in seq_len(nrow(models))) {
  data <- read.csv(file.path(folder, sprintf("%03d.csv", models$number[k])), stringsAsFactors = TRUE)
  seconds <- system.time(r <- tryCatch({
    fit <- suppressWarnings(suppressMessages(lmer(as.formula(models$formula[k]), data, REML = models$reml[k], control = control)))
    list(criterion = -2 * as.numeric(logLik(fit)))
  }, error = function(e) list(failed = conditionMessage(e))))[["elapsed"]]
  out[[as.character(models$number[k])]] <- c(r, list(seconds = seconds))
}
writeLines(toJSON(out, auto_unbox = TRUE, digits = NA), file.path(folder, "lme4.json"))
