# lme4's lmer with its defaults; the data are read before the clock starts. Same steps as clock.py.
job <- jsonlite::fromJSON(commandArgs(TRUE)[1])
data <- if (requireNamespace("data.table", quietly = TRUE)) data.table::fread(job$csv, data.table = FALSE, nThread = 1) else read.csv(job$csv)
for (v in job$factors) data[[v]] <- factor(data[[v]])
now <- function() as.numeric(Sys.time())
start <- now()
suppressPackageStartupMessages(library(lme4))
imported <- now()
fit <- suppressWarnings(suppressMessages(lmer(as.formula(job$formula), data, REML = job$reml)))
end <- now()
warm <- c(); cpu <- c(); left <- job$budget_s; longest <- end - imported
while (length(warm) < job$repeats && (left > longest || (length(warm) == 0 && longest < job$one_warm_below_s))) {
  before <- now(); used <- sum(proc.time()[1:2])
  fit <- suppressWarnings(suppressMessages(lmer(as.formula(job$formula), data, REML = job$reml)))
  cpu <- c(cpu, sum(proc.time()[1:2]) - used); warm <- c(warm, now() - before); left <- left - warm[length(warm)]; longest <- max(warm)
}
cat("\n", jsonlite::toJSON(list(import_s = imported - start, first_s = end - start, warm_s = if (length(warm)) median(warm) else NULL,
  warm_cpu_s = if (length(cpu)) median(cpu) else NULL, blas = extSoftVersion()[["BLAS"]],
  warm_runs = length(warm), criterion = -2 * as.numeric(logLik(fit))), auto_unbox = TRUE, digits = NA, null = "null"), "\n", sep = "")
